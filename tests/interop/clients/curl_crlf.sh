#!/bin/sh
CRLF=--crlf exec sh "$(dirname "$0")/curl.sh"
