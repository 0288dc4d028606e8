"""Images as bytes: encode/decode pairs around the solvers."""
