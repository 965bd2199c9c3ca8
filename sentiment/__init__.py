"""What training and serving must agree on: labels, text rules, batches, classifier, store."""
