"""Images as arrays: colour, chroma, patches, metrics, reading."""
