"""What describes a Hugging Face model beside its weights: ``config.json`` and the index of weights in several files."""
