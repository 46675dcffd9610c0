"""Is this a live human voice: features that show how a signal was made, and what is decided from them."""
