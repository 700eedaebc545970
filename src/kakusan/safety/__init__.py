"""What is shown and where it came from: invisible watermarks, verdicts on pictures, provenance."""
