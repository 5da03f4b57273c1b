"""Models: weights in safetensors plus a card that says how to use them honestly."""
