"""Tests that need a Linux other than this machine's, in one of their own."""
