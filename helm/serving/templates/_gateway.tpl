{{/* Refuses a part whose API the cluster lacks: root, value (what switches it on), api and from (who brings it). */}}
{{- define "serving.requireApi" -}}
{{- if not (.root.Capabilities.APIVersions.Has .api) -}}
{{- fail (printf "%s is on, and this cluster has no %s: install %s or switch it off; helm template is told of it by --api-versions." .value .api .from) -}}
{{- end -}}
{{- end -}}

{{/* metadata and spec up to the rules, of HTTPRoute and GRPCRoute: root, value and route. */}}
{{- define "serving.routeHead" -}}
{{- if not .route.parentRefs -}}
{{- fail (printf "%s is on, and %s.parentRefs names no Gateway." .value .at) -}}
{{- end -}}
metadata:
  {{- include "serving.metadata" . | nindent 2 }}
spec:
  parentRefs:
    {{- range $ref := .route.parentRefs }}
    - group: gateway.networking.k8s.io
      kind: Gateway
      {{- range $key := list "name" "namespace" "sectionName" }}
      {{- with get $ref $key }}
      {{ $key }}: {{ . | quote }}
      {{- end }}
      {{- end }}
      {{- with $ref.port }}
      port: {{ int64 . }}
      {{- end }}
    {{- end }}
  {{- with .route.hostnames }}
  hostnames:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/*
Refuses parentRefs of the GRPCRoute (ours) that may attach to a listener of the HTTPRoute's (theirs). Two references to
one Gateway are apart only where both name a sectionName, or both a port, and not the same one: what is left out matches
every listener, and which port a section has is not known here.
*/}}
{{- define "serving.requireOwnListener" -}}
{{- $home := .root.Release.Namespace -}}
{{- $others := .theirs -}}
{{- range $ours := .ours -}}
{{- range $theirs := $others -}}
{{- $gateway := and (eq $ours.name $theirs.name) (eq ($ours.namespace | default $home) ($theirs.namespace | default $home)) -}}
{{- $sections := and $ours.sectionName $theirs.sectionName (ne $ours.sectionName $theirs.sectionName) -}}
{{- $ports := and $ours.port $theirs.port (ne (int64 $ours.port) (int64 $theirs.port)) -}}
{{- if and $gateway (not (or $sections $ports)) -}}
{{- fail (printf "route.grpc.parentRefs and route.parentRefs may share a listener of the Gateway %s: name another one in each, both by sectionName or both by port." $ours.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Services of port 3001. */}}
{{- define "serving.grpcServices" -}}
- inference.GRPCInferenceService
- grpc.health.v1.Health
- grpc.reflection.v1.ServerReflection
- grpc.reflection.v1alpha.ServerReflection
{{- end -}}
