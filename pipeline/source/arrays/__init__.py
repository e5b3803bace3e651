"""Images as arrays: NumPy's .npz and the IDX files of MNIST."""
