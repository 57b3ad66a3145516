"""Ansible's playbooks on machines that boot (README.md)."""
