"""What makes readings safe: queues, watermarks, records; `functions/` runs functions. No library from outside, no database."""
