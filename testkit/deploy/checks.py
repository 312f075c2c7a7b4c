"""The checks, in the order in which they run: the cheap ones first. **To add one**, add it here; its first line says what it proves."""

import backups
import containers
import faults
import files
import hosts
import monitoring
import proxy

CHECKS = {
    "yaml": files.yaml_parses,
    "settings": files.every_variable_is_a_setting,
    "secrets": files.no_secret_is_shipped,
    "documents": files.documents_agree,
    "scripts": files.scripts_parse,
    "compose": files.compose_accepts,
    "kubernetes": files.kubernetes_accepts,
    "prometheus": monitoring.prometheus_accepts,
    "systemd": hosts.systemd_accepts,
    "logrotate": hosts.logrotate_keeps_every_line,
    "nginx": proxy.nginx_streams,
    "backup": backups.every_database,
    "alerts": faults.alerts_fire,
    "image": containers.image_runs_unprivileged,
    "compose-run": containers.compose_services_become_healthy,
}
