"""What crds.py is made of: `values` what a field may be, `function`, `rule` and `status` the fields."""
