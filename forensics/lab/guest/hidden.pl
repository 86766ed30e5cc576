#!/usr/bin/perl
sleep 3600 while 1;
