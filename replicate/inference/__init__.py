"""A model folder answers, in whichever runtime. Nothing here trains or listens."""
