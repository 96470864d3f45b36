use v5.36;
use utf8;
use Email::MIME;
use Email::Sender::Simple qw(sendmail);
use Email::Sender::Transport::SMTP;
use Encode qw(decode_utf8);
use File::Basename qw(basename);

my $transport = Email::Sender::Transport::SMTP->new(
    hosts              => ['localhost'],
    port               => $ENV{PORT},
    ssl                => $ENV{TLS} eq 'implicit' ? 'ssl' : 'starttls',
    ssl_options        => { SSL_ca_file => $ENV{CA}, SSL_verify_mode => 1 },
    sasl_username      => $ENV{NAME},
    sasl_password      => $ENV{PASSWORD},
    debug              => 1,
);
open my $file, '<:raw', $ENV{ATTACHMENT} or die $!;
my $octets = do { local $/; <$file> };
my $mail = Email::MIME->create(
    header_str => [ From => $ENV{FROM}, To => $ENV{TO}, Subject => decode_utf8($ENV{SUBJECT}) ],
    parts      => [
        Email::MIME->create(
            attributes => { content_type => 'text/plain', charset => 'UTF-8', encoding => 'quoted-printable' },
            body_str   => decode_utf8($ENV{TEXT}),
        ),
        Email::MIME->create(
            attributes => {
                content_type => 'application/octet-stream', disposition => 'attachment',
                encoding     => 'base64', filename => basename($ENV{ATTACHMENT}),
            },
            body => $octets,
        ),
    ],
);
sendmail($mail, { transport => $transport, from => $ENV{FROM}, to => [ $ENV{TO}, $ENV{BCC} ] });
