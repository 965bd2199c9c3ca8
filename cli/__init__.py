"""The `nifos` command, its progress bars and the embedded servers."""
