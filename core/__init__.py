"""What every process agrees on: settings, errors, logs, messages, the broker."""
