"""A message in, labels out: claim, read, predict, commit."""
