#Requires -Version 7.2
#Requires -Modules Microsoft.Graph.Applications, ExchangeOnlineManagement
<#
.SYNOPSIS
Makes an application in Entra ID that may send as some mailboxes, and prints what a device is told.

.DESCRIPTION
The application gets a secret and no permission in Entra ID: with one there it could send as every
mailbox of the tenant. Instead, Exchange Online gives it "Application Mail.Send" for the mailboxes that
carry its name in a custom attribute (RBAC for Applications). Changes there take 30 minutes to 2 hours.

Run it again with the same name to add mailboxes, or when a step has failed, as Exchange Online may know the new
application a minute later only. You need the roles Application Administrator in Entra ID and
Organization Management in Exchange Online. -WhatIf shows what would be done.

Install-Module Microsoft.Graph.Applications, ExchangeOnlineManagement -Scope CurrentUser

.PARAMETER Name
The name of the application, of its scope, and the value of the attribute. One for each group of devices.

.PARAMETER Mailbox
The mailboxes that it may send as.

.PARAMETER SecretMonths
How many months a new secret holds.

.PARAMETER Attribute
The attribute that marks the mailboxes. A mailbox that has another value in it is refused.

.PARAMETER LargeMail
Also gives "Application Mail.ReadWrite", which LARGE_MESSAGES=upload needs. It can read these mailboxes.

.PARAMETER RenewSecret
Makes a further secret. The old ones go on working until they expire or are removed.

.PARAMETER RemoveSecret
Removes a secret by its key ID, which -RenewSecret shows.

.PARAMETER Remove
Removes the application and everything that was made for it.

.EXAMPLE
./New-RelayApp.ps1 -Name smtp-relay -Mailbox scanner@contoso.com, printer@contoso.com

.EXAMPLE
./New-RelayApp.ps1 -Name smtp-relay -RenewSecret
#>
[CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'Create')]
param(
    [ValidatePattern('^[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}$')]
    [string] $Name = 'smtp-relay',

    [Parameter(Mandatory, ParameterSetName = 'Create')]
    [string[]] $Mailbox,

    [Parameter(ParameterSetName = 'Create')]
    [Parameter(ParameterSetName = 'Renew')]
    [ValidateRange(1, 24)]
    [int] $SecretMonths = 12,

    [Parameter(ParameterSetName = 'Create')]
    [Parameter(ParameterSetName = 'Remove')]
    [ValidatePattern('^CustomAttribute([1-9]|1[0-5])$')]
    [string] $Attribute = 'CustomAttribute1',

    [Parameter(ParameterSetName = 'Create')]
    [switch] $LargeMail,

    [Parameter(Mandatory, ParameterSetName = 'Renew')]
    [switch] $RenewSecret,

    [Parameter(Mandatory, ParameterSetName = 'RemoveSecret')]
    [guid] $RemoveSecret,

    [Parameter(Mandatory, ParameterSetName = 'Remove')]
    [switch] $Remove
)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

function Get-RelayApplication {
    $found = @(Get-MgApplication -Filter "displayName eq '$Name'" -All)
    if ($found.Count -gt 1) {
        throw "$($found.Count) applications are called '$Name'; choose another name."
    }
    $found | Select-Object -First 1
}

function Add-Secret([object] $Application) {
    $password = @{
        displayName = "$Name $(Get-Date -Format yyyy-MM-dd)"
        endDateTime = (Get-Date).ToUniversalTime().AddMonths($SecretMonths)
    }
    Add-MgApplicationPassword -ApplicationId $Application.Id -PasswordCredential $password
}

function Write-Device([object] $Application, [object] $Secret) {
    $tenant = (Get-MgContext).TenantId
    Write-Host ''
    Write-Host 'What the device is told:'
    Write-Host "  user name  $tenant@$($Application.AppId)"
    if ($Secret) {
        Write-Host "  password   $($Secret.SecretText)"
        Write-Host "  until      $($Secret.EndDateTime.ToString('yyyy-MM-dd'))"
        Write-Host 'The password is shown this once. Put it into the device, or where you keep passwords.'
    }
}

function Grant-Mailboxes([object] $Principal) {
    foreach ($address in $Mailbox) {
        $value = (Get-Mailbox -Identity $address).$Attribute
        if ($value -and $value -ne $Name) {
            throw "$Attribute of $address is already '$value'; choose another -Attribute."
        }
    }
    foreach ($address in $Mailbox) {
        $marked = @{ Identity = $address; $Attribute = $Name }
        if ($PSCmdlet.ShouldProcess($address, "Set $Attribute to '$Name'")) { Set-Mailbox @marked }
    }
    if (-not $PSCmdlet.ShouldProcess($Name, 'Give the application its mailboxes in Exchange Online')) { return }
    if (-not (Get-ServicePrincipal | Where-Object ObjectId -EQ $Principal.Id)) {
        New-ServicePrincipal -AppId $Principal.AppId -ObjectId $Principal.Id -DisplayName $Name | Out-Null
    }
    if (-not (Get-ManagementScope | Where-Object Name -EQ $Name)) {
        New-ManagementScope -Name $Name -RecipientRestrictionFilter "$Attribute -eq '$Name'" | Out-Null
    }
    $roles = @('Application Mail.Send')
    if ($LargeMail) { $roles += 'Application Mail.ReadWrite' }
    foreach ($role in $roles) {
        $assignment = "$Name $role"
        if (-not (Get-ManagementRoleAssignment | Where-Object Name -EQ $assignment)) {
            New-ManagementRoleAssignment -Name $assignment -App $Principal.Id -Role $role -CustomResourceScope $Name | Out-Null
        }
    }
    foreach ($address in $Mailbox) {
        foreach ($role in Test-ServicePrincipalAuthorization -Identity $Principal.Id -Resource $address) {
            Write-Host "  $($role.RoleName) as ${address}: $($role.InScope)"
        }
    }
}

function Remove-Everything([object] $Application) {
    Get-ManagementRoleAssignment | Where-Object Name -Like "$Name Application Mail.*" | ForEach-Object {
        Remove-ManagementRoleAssignment -Identity $_.Identity -Confirm:$false
    }
    if (Get-ManagementScope | Where-Object Name -EQ $Name) { Remove-ManagementScope -Identity $Name -Confirm:$false }
    Get-Mailbox -ResultSize Unlimited -Filter "$Attribute -eq '$Name'" | ForEach-Object {
        $unmarked = @{ Identity = $_.Identity; $Attribute = $null }
        Set-Mailbox @unmarked
    }
    Get-ServicePrincipal | Where-Object AppId -EQ $Application.AppId | ForEach-Object {
        Remove-ServicePrincipal -Identity $_.ObjectId -Confirm:$false
    }
    Remove-MgApplication -ApplicationId $Application.Id
}

Connect-MgGraph -Scopes 'Application.ReadWrite.All' -NoWelcome
if ($PSCmdlet.ParameterSetName -in 'Create', 'Remove') { Connect-ExchangeOnline -ShowBanner:$false }
$application = Get-RelayApplication
if (-not $application -and $PSCmdlet.ParameterSetName -ne 'Create') { throw "There is no application '$Name'." }

switch ($PSCmdlet.ParameterSetName) {
    'Create' {
        $secret = $null
        if (-not $application -and $PSCmdlet.ShouldProcess($Name, 'Make the application and a secret')) {
            $application = New-MgApplication -DisplayName $Name -SignInAudience 'AzureADMyOrg'
            $secret = Add-Secret $application
            Write-Device $application $secret
        }
        if (-not $application) { return }
        $principal = Get-MgServicePrincipal -Filter "appId eq '$($application.AppId)'"
        if (-not $principal -and $PSCmdlet.ShouldProcess($Name, 'Make the enterprise application')) {
            $principal = New-MgServicePrincipal -AppId $application.AppId
        }
        if ($principal) { Grant-Mailboxes $principal }
        if (-not $secret) { Write-Device $application $null }
        Write-Host 'Exchange Online takes 30 minutes to 2 hours; until then the device reads 550 5.7.1.'
    }
    'Renew' {
        if ($PSCmdlet.ShouldProcess($Name, 'Make a further secret')) {
            Write-Device $application (Add-Secret $application)
            Write-Host 'When all devices have it, remove each of the old ones: -RemoveSecret KEY_ID'
            foreach ($old in $application.PasswordCredentials) {
                Write-Host "  $($old.KeyId)  until $($old.EndDateTime.ToString('yyyy-MM-dd'))  $($old.DisplayName)"
            }
        }
    }
    'RemoveSecret' {
        if ($PSCmdlet.ShouldProcess("$Name, $RemoveSecret", 'Remove the secret')) {
            Remove-MgApplicationPassword -ApplicationId $application.Id -KeyId $RemoveSecret
        }
    }
    'Remove' {
        if ($PSCmdlet.ShouldProcess($Name, 'Remove the application, its scope and its roles')) { Remove-Everything $application }
    }
}
