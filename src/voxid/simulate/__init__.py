"""Conversations made of single-speaker speech, and speech made worse on purpose: rooms, noise, telephone, codecs."""
