#!/bin/sh
exec java -cp /usr/share/java/javax.mail.jar:/usr/share/java/javax.activation.jar \
    -Dfile.encoding=UTF-8 "$(dirname "$0")/JavaMail.java"
