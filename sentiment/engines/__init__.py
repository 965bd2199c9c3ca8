"""What computes a version's logits: torch on a CPU or a GPU, OpenVINO on a CPU."""
