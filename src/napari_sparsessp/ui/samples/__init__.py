"""*File > Open Sample*."""
