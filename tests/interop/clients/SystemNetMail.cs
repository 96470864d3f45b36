using System;
using System.Net;
using System.Net.Mail;
using System.Security.Cryptography.X509Certificates;
using System.Text;

class SystemNetMail
{
    static string Env(string name) { return Environment.GetEnvironmentVariable(name); }

    static void Main()
    {
        var root = new X509Certificate2(Env("CA"));
        ServicePointManager.ServerCertificateValidationCallback = (sender, leaf, chain, errors) =>
            leaf.Issuer == root.Subject;
        var mail = new MailMessage(Env("FROM"), Env("TO"));
        mail.Bcc.Add(Env("BCC"));
        mail.Subject = Env("SUBJECT");
        mail.SubjectEncoding = Encoding.UTF8;
        mail.Body = Env("TEXT");
        mail.BodyEncoding = new UTF8Encoding(false); // Encoding.UTF8 puts a byte order mark before the text
        mail.Attachments.Add(new Attachment(Env("ATTACHMENT")));
        var client = new SmtpClient("localhost", int.Parse(Env("PORT")));
        client.EnableSsl = true;
        client.Credentials = new NetworkCredential(Env("NAME"), Env("PASSWORD"));
        client.Send(mail);
    }
}
