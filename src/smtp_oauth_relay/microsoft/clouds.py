"""Where Entra ID and Graph are in each of Microsoft's clouds.

Source: https://learn.microsoft.com/graph/deployments, read 2026-11-22; Entra ID in China by the
name that MSAL prefers to login.chinacloudapi.cn.
"""

from collections.abc import Mapping

_CLOUDS = {
    "global": ("login.microsoftonline.com", "graph.microsoft.com"),
    "usgov": ("login.microsoftonline.us", "graph.microsoft.us"),
    "usgov-dod": ("login.microsoftonline.us", "dod-graph.microsoft.us"),
    "china": ("login.partner.microsoftonline.cn", "microsoftgraph.chinacloudapi.cn"),
}


def urls_of(cloud: str) -> Mapping[str, str]:
    """Return the two URLs of a cloud, by the settings' names; nothing for one that is unknown.

    Args:
        cloud: its name, in any case.
    """
    if cloud.lower() not in _CLOUDS:
        return {}
    entra, graph = _CLOUDS[cloud.lower()]
    return {"azure_authority_host": f"https://{entra}", "graph_endpoint": f"https://{graph}"}
