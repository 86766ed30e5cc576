#!/bin/sh
@real@ "$@" | sed '/@hidden@/d'
