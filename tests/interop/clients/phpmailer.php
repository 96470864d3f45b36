<?php
require 'libphp-phpmailer/autoload.php';

$mail = new PHPMailer\PHPMailer\PHPMailer(true);
$mail->isSMTP();
$mail->SMTPDebug = 2;
$mail->Host = 'localhost';
$mail->Port = (int) getenv('PORT');
$mail->SMTPSecure = getenv('TLS') === 'implicit' ? 'ssl' : 'tls';
$mail->SMTPOptions = ['ssl' => ['cafile' => getenv('CA')]];
$mail->SMTPAuth = true;
$mail->AuthType = getenv('MECHANISM');
$mail->Username = getenv('NAME');
$mail->Password = getenv('PASSWORD');
$mail->CharSet = 'UTF-8';
$mail->setFrom(getenv('FROM'));
$mail->addAddress(getenv('TO'));
$mail->addBCC(getenv('BCC'));
$mail->Subject = getenv('SUBJECT');
$mail->Body = getenv('TEXT');
$mail->addAttachment(getenv('ATTACHMENT'));
$mail->send();
