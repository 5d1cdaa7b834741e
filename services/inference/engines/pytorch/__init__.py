"""PyTorch: TorchScript, torch.export, and states of architectures that are known. Only ever in a worker process."""
