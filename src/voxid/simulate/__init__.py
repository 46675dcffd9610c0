"""Speech made worse on purpose: noise, telephone, codecs. For training speech and for measuring what they cost."""
