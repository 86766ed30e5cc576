#!/usr/bin/perl
use strict;
use warnings;
use Socket;

socket my $server, PF_INET, SOCK_STREAM, 0 or die;
setsockopt $server, SOL_SOCKET, SO_REUSEADDR, 1 or die;
bind $server, sockaddr_in(@port@, INADDR_ANY) or die;
listen $server, 8 or die;
while (1) {
    accept my $peer, $server or next;
    close $peer;
}
