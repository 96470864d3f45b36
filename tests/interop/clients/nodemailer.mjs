import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { env } = process;
const nodemailer = createRequire(`${env.TOOLS}/node/`)("nodemailer");
const transport = nodemailer.createTransport({
  host: "localhost",
  port: env.PORT,
  secure: env.TLS === "implicit",
  requireTLS: true,
  tls: { ca: readFileSync(env.CA) },
  authMethod: env.MECHANISM,
  auth: { user: env.NAME, pass: env.PASSWORD },
});
const sent = await transport.sendMail({
  from: env.FROM,
  to: env.TO,
  bcc: env.BCC,
  subject: env.SUBJECT,
  text: env.TEXT,
  attachments: [{ path: env.ATTACHMENT }],
});
console.log(sent.response);
