"""Training: autoencoder, contrastive text and image towers, latent diffusion; one loop with exact resume."""
