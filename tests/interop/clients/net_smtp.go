package main

import (
	"crypto/tls"
	"crypto/x509"
	"log"
	"net/smtp"
	"os"
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	root, err := os.ReadFile(os.Getenv("CA"))
	must(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(root)
	config := &tls.Config{RootCAs: roots, ServerName: "localhost"}
	address := "localhost:" + os.Getenv("PORT")
	var client *smtp.Client
	if os.Getenv("TLS") == "implicit" {
		connection, err := tls.Dial("tcp", address, config)
		must(err)
		client, err = smtp.NewClient(connection, "localhost")
		must(err)
	} else {
		client, err = smtp.Dial(address)
		must(err)
		must(client.StartTLS(config))
	}
	must(client.Auth(smtp.PlainAuth("", os.Getenv("NAME"), os.Getenv("PASSWORD"), "localhost")))
	must(client.Mail(os.Getenv("FROM")))
	must(client.Rcpt(os.Getenv("TO")))
	must(client.Rcpt(os.Getenv("BCC")))
	content, err := client.Data()
	must(err)
	mail, err := os.ReadFile(os.Getenv("MAIL"))
	must(err)
	_, err = content.Write(mail)
	must(err)
	must(content.Close())
	must(client.Quit())
}
