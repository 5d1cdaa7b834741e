"""Models that an NVIDIA Triton server computes, or any other server of the Open Inference Protocol over gRPC."""
