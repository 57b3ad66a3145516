"""What makes readings safe and functions run: threads and queues, but no library from outside and no database."""
