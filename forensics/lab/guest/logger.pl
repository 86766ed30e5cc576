#!/usr/bin/perl
use strict;
use warnings;

while (1) {
    open my $log, '>>', '/var/log/@name@.log' or die;
    print $log time, " still here\n";
    close $log;
    sleep 5;
}
