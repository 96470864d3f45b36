require "net/smtp"

mail = File.read(ENV["MAIL"])
smtp = Net::SMTP.new("localhost", ENV["PORT"].to_i)
context = OpenSSL::SSL::SSLContext.new
context.set_params(ca_file: ENV["CA"])
ENV["TLS"] == "implicit" ? smtp.enable_tls(context) : smtp.enable_starttls(context)
smtp.start(helo: "ruby.example", user: ENV["NAME"], secret: ENV["PASSWORD"],
           authtype: ENV["MECHANISM"].downcase.to_sym) do |session|
  puts session.send_message(mail, ENV["FROM"], ENV["TO"], ENV["BCC"]).string
end
