"""Training of the spoof detector: genuine speech against speech that was made."""
