#!/usr/bin/perl
use strict;
use warnings;

my @held;
while (1) {
    push @held, chr(65 + @held % 26) x 262144;
}
