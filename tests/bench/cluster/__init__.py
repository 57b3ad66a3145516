"""`make bench-cluster`: functions as pods on a real Kubernetes, beside the way the 2021 prototype ran them."""
