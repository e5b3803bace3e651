"""Delta tables on disks and object stores: reading, staging, publishing and garbage collection."""
