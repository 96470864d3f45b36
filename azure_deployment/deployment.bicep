// The relay as a container instance: one container, restarted when it ends, with its certificate in
// a Key Vault, its look-up table in a storage account and its log in Log Analytics. The relay and
// whoever deploys get exactly the roles they need. deployment.json is the same as an ARM template,
// for the portal's button; a test compares the two.
metadata description = 'SMTP OAuth Relay on Azure Container Instances'

@description('Where everything is made.')
param location string = resourceGroup().location

@description('Begins the name of everything that is made: a lower-case letter, then letters and digits.')
@minLength(3)
@maxLength(12)
param name string = 'smtprelay'

@description('The image of the relay.')
param image string = 'ghcr.io/justiniven/smtp-oauth-relay:0.1.0'

@description('The TCP ports that devices reach; each must stand in SMTP_LISTEN or SMTPS_LISTEN as well.')
param ports array = [
  8025
]

@description('The resource ID of a subnet delegated to Microsoft.ContainerInstance/containerGroups: the relay gets a private address in it. Empty: a public address with a DNS label.')
param subnetId string = ''

@description('The DNS label of the public address: label.region.azurecontainer.io.')
param dnsNameLabel string = '${name}-${uniqueString(resourceGroup().id)}'

@description('Processor cores, such as 1 or 0.5.')
param cpuCores string = '1'

@description('Memory in GB, such as 1 or 1.5.')
param memoryInGB string = '1'

@description('Whether to make a Key Vault for the certificate. If not, name yours in AZURE_KEY_VAULT_URL; the relay must have the role Key Vault Certificate User on it.')
param keyVault bool = true

@description('Whether to make a storage account with the look-up table. If not, name yours in AZURE_TABLES_URL or AZURE_TABLES_CONNECTION_STRING, or do without; by URL, the relay must have the role Storage Table Data Reader on it.')
param lookupTable bool = true

@description('The object ID of the user, group or service principal that manages certificates and table rows. Empty: whoever deploys this.')
param administratorObjectId string = ''

@description('How many days the log is kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

// settings, parameters: `make templates`
@description('AZURE_KEY_VAULT_URL: the Key Vault with the certificate.')
param azureKeyVaultUrl string = ''

@description('AZURE_KEY_VAULT_CERT_NAME: the name of the certificate in Key Vault.')
param azureKeyVaultCertName string = 'smtp-relay'

@description('TLS_RELOAD_INTERVAL: seconds between two looks whether there is a new certificate. Empty: 300.')
param tlsReloadInterval string = ''

@description('AZURE_TABLES_URL: the look-up Table, with a SAS or without; without one the relay\'s identity opens it.')
param azureTablesUrl string = ''

@description('AZURE_TABLES_CONNECTION_STRING: the storage account of the look-up Table, instead of a URL.')
@secure()
param azureTablesConnectionString string = ''

@description('AZURE_TABLES_NAME: the look-up Table\'s name, beside a connection string. Empty: users.')
param azureTablesName string = ''

@description('AZURE_TABLES_PARTITION_KEY: the partition of the look-up rows. Empty: user.')
param azureTablesPartitionKey string = ''

@description('AZURE_TABLES_FORCE_USAGE: whether only those may log in whom a row of the Table names. Empty: false.')
@allowed([
  ''
  'true'
  'false'
])
param azureTablesForceUsage string = ''

@description('AZURE_TABLES_CACHE_TTL: seconds that a row serves before it is read again. Empty: 60.')
param azureTablesCacheTtl string = ''

@description('DKIM_TABLES_PARTITION_KEY: the partition of the rows with DKIM keys, one for each domain. Empty: dkim.')
param dkimTablesPartitionKey string = ''

@description('LOG_LEVEL: the least important lines to log; none shows a secret or a message. Empty: INFO.')
@allowed([
  ''
  'DEBUG'
  'INFO'
  'WARNING'
  'ERROR'
  'CRITICAL'
])
param logLevel string = ''

@description('LOG_FORMAT: lines for people (text) or for log collectors (json). Empty: text.')
@allowed([
  ''
  'text'
  'json'
])
param logFormat string = 'json'

@description('LOG_ADDRESSES: mail addresses in the log: as they are (full), hashed or none. Empty: full.')
@allowed([
  ''
  'full'
  'hashed'
  'none'
])
param logAddresses string = ''

@description('SMTP_LISTEN: where devices connect and start TLS; without a host: all addresses. Empty: :8025.')
param smtpListen string = ''

@description('SMTPS_LISTEN: where devices connect with TLS from the first moment on.')
param smtpsListen string = ''

@description('SERVER_GREETING: what the relay says after its name when a device connects. Empty: Microsoft Graph SMTP OAuth Relay.')
param serverGreeting string = ''

@description('SERVER_HOSTNAME: the name with which the relay greets; unset: the host\'s name.')
param serverHostname string = ''

@description('USERNAME_DELIMITER: the character between tenant and client in the user name. Empty: @.')
@allowed([
  ''
  '@'
  ':'
  '|'
])
param usernameDelimiter string = ''

@description('TLS_SOURCE: where the certificate comes from; off: no TLS at all. Empty: file.')
@allowed([
  ''
  'file'
  'keyvault'
  'off'
])
param tlsSource string = 'keyvault'

@description('REQUIRE_TLS: whether devices must start TLS before they may log in. Empty: true.')
@allowed([
  ''
  'true'
  'false'
])
param requireTls string = ''

@description('TLS_CERT_FILEPATH: the certificate and its intermediates, PEM. Empty: certs/cert.pem.')
param tlsCertFilepath string = ''

@description('TLS_KEY_FILEPATH: the certificate\'s private key, PEM. Empty: certs/key.pem.')
param tlsKeyFilepath string = ''

@description('TLS_CIPHER_SUITE: the ciphers of TLS, as an OpenSSL cipher list; unset: OpenSSL\'s own.')
param tlsCipherSuite string = ''

@description('TLS_MIN_VERSION: the oldest version of TLS that a device may speak. Empty: 1.2.')
@allowed([
  ''
  '1.0'
  '1.1'
  '1.2'
  '1.3'
])
param tlsMinVersion string = ''

@description('ALLOWED_TENANTS: the tenants that may log in, as their user names spell them; unset: any.')
param allowedTenants string = ''

@description('ALLOWED_CLIENTS: the applications that may log in; unset: any.')
param allowedClients string = ''

@description('AZURE_CLOUD: the cloud of the tenants; decides where Entra ID and Graph are. Empty: global.')
@allowed([
  ''
  'global'
  'usgov'
  'usgov-dod'
  'china'
])
param azureCloud string = ''

@description('AZURE_AUTHORITY_HOST: where Entra ID issues tokens. Empty: https://login.microsoftonline.com.')
param azureAuthorityHost string = ''

@description('GRAPH_ENDPOINT: where Microsoft Graph takes the mail. Empty: https://graph.microsoft.com.')
param graphEndpoint string = ''

@description('ENTRA_HTTP_TIMEOUT: seconds that one token request may take. Empty: 10.')
param entraHttpTimeout string = ''

@description('GRAPH_HTTP_TIMEOUT: seconds that one request to Microsoft Graph may take. Empty: 30.')
param graphHttpTimeout string = ''

@description('DELIVERY_DEADLINE: seconds that a device waits, at most, for the answer to its message. Empty: 60.')
param deliveryDeadline string = ''

@description('GRAPH_MAILBOX_CONCURRENCY: the most requests at once for one mailbox; further messages wait in line. Empty: 4.')
param graphMailboxConcurrency string = ''

@description('LARGE_MESSAGES: what becomes of mail over 3 MB: refused (off) or uploaded in pieces (upload). Empty: off.')
@allowed([
  ''
  'off'
  'upload'
])
param largeMessages string = ''

@description('LARGE_DELIVERY_DEADLINE: seconds that a device waits, at most, for mail by upload. Empty: 300.')
param largeDeliveryDeadline string = ''

@description('MAX_MESSAGE_SIZE: the largest message in octets; K, M and G are powers of 1000. Empty: 2950000.')
param maxMessageSize string = ''

@description('MAX_RECIPIENTS: the most recipients of one message. Empty: 500.')
param maxRecipients string = ''

@description('HEADER_RECIPIENTS: who gets the mail where To, Cc and Bcc name others than RCPT: those of RCPT (envelope), all of them (header), or nobody (reject). Empty: envelope.')
@allowed([
  ''
  'envelope'
  'header'
  'reject'
])
param headerRecipients string = ''

@description('SENDER_MAILBOX: who sends: the mailbox of the From field (header) or of MAIL FROM (envelope). Empty: header.')
@allowed([
  ''
  'header'
  'envelope'
])
param senderMailbox string = ''

@description('RECEIVED_CLIENT_ADDRESS: whether the mail tells the device\'s IP address. Empty: false.')
@allowed([
  ''
  'true'
  'false'
])
param receivedClientAddress string = ''

@description('DKIM_ENABLED: whether the relay puts DKIM signatures of its own on mail. Empty: false.')
@allowed([
  ''
  'true'
  'false'
])
param dkimEnabled string = ''

@description('DKIM_SELECTOR: the name of the DKIM key in DNS, before ._domainkey.')
param dkimSelector string = ''

@description('DKIM_PRIVATE_KEY_PATH: the file with the DKIM key, PEM; wins over DKIM_PRIVATE_KEY.')
param dkimPrivateKeyPath string = ''

@description('DKIM_PRIVATE_KEY: the DKIM key itself, PEM, with \\n where a line ends.')
@secure()
param dkimPrivateKey string = ''

@description('DKIM_DOMAINS: the From domains that the key signs for; unset: all.')
param dkimDomains string = ''

@description('DKIM_CANONICALIZATION: how much white space may change on the way, in the header and in the body. Empty: relaxed/relaxed.')
@allowed([
  ''
  'relaxed/relaxed'
  'relaxed/simple'
  'simple/relaxed'
  'simple/simple'
])
param dkimCanonicalization string = ''

@description('DKIM_HEADERS: the header fields that a DKIM signature covers. Empty: from,to,cc,subject,date,reply-to,mime-version,content-type,content-transfer-encoding.')
param dkimHeaders string = ''

@description('MAX_SESSIONS: the most connections at once. Empty: 500.')
param maxSessions string = ''

@description('MAX_SESSIONS_PER_IP: the most connections at once from one IP address. Empty: 50.')
param maxSessionsPerIp string = ''

@description('STATUS_LISTEN: where the status page, probes and metrics are served; off: nowhere. Empty: 127.0.0.1:9025.')
param statusListen string = ''

@description('STATUS_TOKEN: what the status page asks for; unset: it is on loopback only.')
@secure()
param statusToken string = ''

@description('MEMORY_BUDGET: the memory in octets that all messages together may take; unset: a quarter of what the container or the machine has.')
param memoryBudget string = ''

@description('CLIENT_NETWORKS: the networks that devices may connect from; unset: any.')
param clientNetworks string = ''

@description('PROXY_PROTOCOL_FROM: the networks of load balancers, which name their client in a PROXY header.')
param proxyProtocolFrom string = ''

@description('REUSE_PORT: whether further relays on this machine may serve the same ports, one a core. Empty: false.')
@allowed([
  ''
  'true'
  'false'
])
param reusePort string = ''

@description('DRAIN_DELAY: seconds that a stop waits before it lets nobody in any more. Empty: 0.')
param drainDelay string = ''

@description('DRAIN_TIMEOUT: seconds that a stop waits for mails on their way. Empty: 75.')
param drainTimeout string = ''
// end of settings, parameters

var unique = uniqueString(resourceGroup().id)
var vaultName = '${name}${take(unique, 11)}'
var vaultUrl = 'https://${vaultName}${environment().suffixes.keyvaultDns}'
var storageName = '${name}${take(unique, 11)}'
var tableName = 'relay'
var tableUrl = 'https://${storageName}.table.${environment().suffixes.storage}/${tableName}'
var administrator = empty(administratorObjectId) ? deployer().objectId : administratorObjectId
var certificateUser = 'db79e9a7-68ee-4b58-9aeb-b90e7c24fcba'
var certificatesOfficer = 'a4417e6f-fecd-4de8-b567-7b0420556985'
var tableReader = '76199698-9eea-4c19-bc75-cec21354c6b6'
var tableContributor = '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'

// What is empty is left out: the relay's own default then holds.
// settings, variables: `make templates`
var settings = [
  { name: 'AZURE_KEY_VAULT_URL', value: keyVault ? vaultUrl : azureKeyVaultUrl }
  { name: 'AZURE_KEY_VAULT_CERT_NAME', value: azureKeyVaultCertName }
  { name: 'TLS_RELOAD_INTERVAL', value: tlsReloadInterval }
  { name: 'AZURE_TABLES_URL', value: lookupTable ? tableUrl : azureTablesUrl }
  { name: 'AZURE_TABLES_NAME', value: azureTablesName }
  { name: 'AZURE_TABLES_PARTITION_KEY', value: azureTablesPartitionKey }
  { name: 'AZURE_TABLES_FORCE_USAGE', value: azureTablesForceUsage }
  { name: 'AZURE_TABLES_CACHE_TTL', value: azureTablesCacheTtl }
  { name: 'DKIM_TABLES_PARTITION_KEY', value: dkimTablesPartitionKey }
  { name: 'LOG_LEVEL', value: logLevel }
  { name: 'LOG_FORMAT', value: logFormat }
  { name: 'LOG_ADDRESSES', value: logAddresses }
  { name: 'SMTP_LISTEN', value: smtpListen }
  { name: 'SMTPS_LISTEN', value: smtpsListen }
  { name: 'SERVER_GREETING', value: serverGreeting }
  { name: 'SERVER_HOSTNAME', value: serverHostname }
  { name: 'USERNAME_DELIMITER', value: usernameDelimiter }
  { name: 'TLS_SOURCE', value: tlsSource }
  { name: 'REQUIRE_TLS', value: requireTls }
  { name: 'TLS_CERT_FILEPATH', value: tlsCertFilepath }
  { name: 'TLS_KEY_FILEPATH', value: tlsKeyFilepath }
  { name: 'TLS_CIPHER_SUITE', value: tlsCipherSuite }
  { name: 'TLS_MIN_VERSION', value: tlsMinVersion }
  { name: 'ALLOWED_TENANTS', value: allowedTenants }
  { name: 'ALLOWED_CLIENTS', value: allowedClients }
  { name: 'AZURE_CLOUD', value: azureCloud }
  { name: 'AZURE_AUTHORITY_HOST', value: azureAuthorityHost }
  { name: 'GRAPH_ENDPOINT', value: graphEndpoint }
  { name: 'ENTRA_HTTP_TIMEOUT', value: entraHttpTimeout }
  { name: 'GRAPH_HTTP_TIMEOUT', value: graphHttpTimeout }
  { name: 'DELIVERY_DEADLINE', value: deliveryDeadline }
  { name: 'GRAPH_MAILBOX_CONCURRENCY', value: graphMailboxConcurrency }
  { name: 'LARGE_MESSAGES', value: largeMessages }
  { name: 'LARGE_DELIVERY_DEADLINE', value: largeDeliveryDeadline }
  { name: 'MAX_MESSAGE_SIZE', value: maxMessageSize }
  { name: 'MAX_RECIPIENTS', value: maxRecipients }
  { name: 'HEADER_RECIPIENTS', value: headerRecipients }
  { name: 'SENDER_MAILBOX', value: senderMailbox }
  { name: 'RECEIVED_CLIENT_ADDRESS', value: receivedClientAddress }
  { name: 'DKIM_ENABLED', value: dkimEnabled }
  { name: 'DKIM_SELECTOR', value: dkimSelector }
  { name: 'DKIM_PRIVATE_KEY_PATH', value: dkimPrivateKeyPath }
  { name: 'DKIM_DOMAINS', value: dkimDomains }
  { name: 'DKIM_CANONICALIZATION', value: dkimCanonicalization }
  { name: 'DKIM_HEADERS', value: dkimHeaders }
  { name: 'MAX_SESSIONS', value: maxSessions }
  { name: 'MAX_SESSIONS_PER_IP', value: maxSessionsPerIp }
  { name: 'STATUS_LISTEN', value: statusListen }
  { name: 'MEMORY_BUDGET', value: memoryBudget }
  { name: 'CLIENT_NETWORKS', value: clientNetworks }
  { name: 'PROXY_PROTOCOL_FROM', value: proxyProtocolFrom }
  { name: 'REUSE_PORT', value: reusePort }
  { name: 'DRAIN_DELAY', value: drainDelay }
  { name: 'DRAIN_TIMEOUT', value: drainTimeout }
]
var secrets = [
  { name: 'AZURE_TABLES_CONNECTION_STRING', value: azureTablesConnectionString }
  { name: 'DKIM_PRIVATE_KEY', value: dkimPrivateKey }
  { name: 'STATUS_TOKEN', value: statusToken }
]
// end of settings, variables

resource log 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: '${name}-log'
  location: location
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: logRetentionDays
  }
}

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' = if (keyVault) {
  name: vaultName
  location: location
  properties: {
    tenantId: subscription().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 7
    enablePurgeProtection: true
    publicNetworkAccess: 'Enabled'
  }
}

resource storage 'Microsoft.Storage/storageAccounts@2023-05-01' = if (lookupTable) {
  name: storageName
  location: location
  kind: 'StorageV2'
  sku: {
    name: 'Standard_GRS'
  }
  properties: {
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    allowCrossTenantReplication: false
    defaultToOAuthAuthentication: true
    publicNetworkAccess: 'Enabled'
  }
}

resource tables 'Microsoft.Storage/storageAccounts/tableServices@2023-05-01' = if (lookupTable) {
  parent: storage
  name: 'default'
}

resource table 'Microsoft.Storage/storageAccounts/tableServices/tables@2023-05-01' = if (lookupTable) {
  parent: tables
  name: tableName
}

resource relay 'Microsoft.ContainerInstance/containerGroups@2023-05-01' = {
  name: name
  location: location
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    osType: 'Linux'
    sku: 'Standard'
    restartPolicy: 'Always'
    ipAddress: {
      type: empty(subnetId) ? 'Public' : 'Private'
      dnsNameLabel: empty(subnetId) ? dnsNameLabel : null
      ports: map(ports, port => { protocol: 'TCP', port: port })
    }
    subnetIds: empty(subnetId) ? null : [
      {
        id: subnetId
      }
    ]
    containers: [
      {
        name: 'relay'
        properties: {
          image: image
          ports: map(ports, port => { protocol: 'TCP', port: port })
          resources: {
            requests: {
              cpu: json(cpuCores)
              memoryInGB: json(memoryInGB)
            }
          }
          environmentVariables: concat(
            filter(settings, setting => !empty(setting.value)),
            map(filter(secrets, setting => !empty(setting.value)), setting => { name: setting.name, secureValue: setting.value })
          )
          livenessProbe: {
            exec: {
              command: [
                'smtp-oauth-relay'
                'healthcheck'
              ]
            }
            initialDelaySeconds: 30
            periodSeconds: 30
            timeoutSeconds: 10
            failureThreshold: 3
          }
        }
      }
    ]
    diagnostics: {
      logAnalytics: {
        workspaceId: log.properties.customerId
        workspaceKey: log.listKeys().primarySharedKey
        logType: 'ContainerInstanceLogs'
      }
    }
  }
}

resource relayReadsCertificate 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (keyVault) {
  scope: vault
  name: guid(vault.id, relay.id, certificateUser)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', certificateUser)
    principalId: relay.identity.principalId
    principalType: 'ServicePrincipal'
  }
}

resource administratorManagesCertificates 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (keyVault) {
  scope: vault
  name: guid(vault.id, administrator, certificatesOfficer)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', certificatesOfficer)
    principalId: administrator
  }
}

resource relayReadsTable 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (lookupTable) {
  scope: storage
  name: guid(storage.id, relay.id, tableReader)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', tableReader)
    principalId: relay.identity.principalId
    principalType: 'ServicePrincipal'
  }
}

resource administratorWritesTable 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (lookupTable) {
  scope: storage
  name: guid(storage.id, administrator, tableContributor)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', tableContributor)
    principalId: administrator
  }
}

@description('What devices are told as the server.')
output host string = empty(subnetId) ? relay.properties.ipAddress.fqdn : relay.properties.ipAddress.ip

@description('The object ID of the relay, for roles on a vault or a table of your own.')
output principalId string = relay.identity.principalId

@description('The vault that the certificate belongs into.')
output keyVaultName string = keyVault ? vaultName : ''

@description('Its address, for AZURE_KEY_VAULT_URL elsewhere.')
output keyVaultUrl string = keyVault ? vaultUrl : ''

@description('The table that short user names belong into.')
output lookupTableUrl string = lookupTable ? tableUrl : ''
