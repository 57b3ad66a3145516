"""The AWS Lambda Runtime API (version 2018-06-01), served to workers."""
