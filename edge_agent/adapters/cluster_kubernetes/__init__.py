"""A Kubernetes cluster, reached through the `kubernetes` client.

api        connection, errors in our words, list and watch without end
pods       workers as pods: `ports.Runner`
manifests  functions and rules as objects of the cluster

Importing any of it costs 8 MB: only an agent with a cluster does.
"""
