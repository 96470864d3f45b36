import java.io.File;
import java.io.FileInputStream;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.util.Properties;
import javax.mail.Authenticator;
import javax.mail.Message.RecipientType;
import javax.mail.PasswordAuthentication;
import javax.mail.Session;
import javax.mail.Transport;
import javax.mail.internet.InternetAddress;
import javax.mail.internet.MimeBodyPart;
import javax.mail.internet.MimeMessage;
import javax.mail.internet.MimeMultipart;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

class JavaMail {
    public static void main(String[] args) throws Exception {
        var properties = new Properties();
        properties.put("mail.smtp.host", "localhost");
        properties.put("mail.smtp.port", env("PORT"));
        properties.put("mail.smtp.auth", "true");
        properties.put("mail.smtp.auth.mechanisms", env("MECHANISM"));
        properties.put("mail.smtp.ssl.socketFactory", trust().getSocketFactory());
        properties.put("mail.smtp.ssl.checkserveridentity", "true");
        if (env("TLS").equals("implicit")) {
            properties.put("mail.smtp.ssl.enable", "true");
        } else {
            properties.put("mail.smtp.starttls.required", "true");
            properties.put("mail.smtp.starttls.enable", "true");
        }
        var session = Session.getInstance(properties, new Authenticator() {
            @Override
            protected PasswordAuthentication getPasswordAuthentication() {
                return new PasswordAuthentication(env("NAME"), env("PASSWORD"));
            }
        });
        var mail = new MimeMessage(session);
        mail.setFrom(new InternetAddress(env("FROM")));
        mail.addRecipient(RecipientType.TO, new InternetAddress(env("TO")));
        mail.addRecipient(RecipientType.BCC, new InternetAddress(env("BCC")));
        mail.setSubject(env("SUBJECT"), "UTF-8");
        var text = new MimeBodyPart();
        text.setText(env("TEXT"), "UTF-8");
        var attachment = new MimeBodyPart();
        attachment.attachFile(new File(env("ATTACHMENT")));
        mail.setContent(new MimeMultipart(text, attachment));
        Transport.send(mail);
    }

    static SSLContext trust() throws Exception {
        var store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (var file = new FileInputStream(env("CA"))) {
            Certificate root = CertificateFactory.getInstance("X.509").generateCertificate(file);
            store.setCertificateEntry("root", root);
        }
        var managers = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        managers.init(store);
        var context = SSLContext.getInstance("TLS");
        context.init(null, managers.getTrustManagers(), null);
        return context;
    }

    static String env(String name) {
        return System.getenv(name);
    }
}
