"""Judging models: a network that says what a picture shows, and prompts to ask about."""
