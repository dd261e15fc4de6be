#!/bin/sh
# rejects: SC2086
rm -r $1/data
