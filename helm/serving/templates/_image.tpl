{{/* The digest names exactly one image for ever, so where both are given the tag says nothing. */}}
{{- define "serving.image" -}}
{{- $image := .image -}}
{{- if not $image.repository -}}
{{- fail "image.repository is empty: name the image that make image printed." -}}
{{- end -}}
{{- if $image.digest -}}
{{- $image.repository }}@{{ $image.digest -}}
{{- else if $image.tag -}}
{{- $image.repository }}:{{ $image.tag -}}
{{- else -}}
{{- $at := $image.at | default "" -}}
{{- fail (printf "The image %s has neither a tag nor a digest: set %simage.tag or %simage.digest." $image.repository $at $at) -}}
{{- end -}}
{{- end -}}

{{/* A label's value has 63 characters at most and ends in letters or digits; tags may be longer. */}}
{{- define "serving.versionLabel" -}}
{{- $version := .image.tag -}}
{{- if .image.digest -}}
{{- $version = .image.digest | replace ":" "-" | trunc 19 -}}
{{- end -}}
app.kubernetes.io/version: {{ $version | trunc 63 | trimAll "-_." | quote }}
{{- end -}}

{{- define "serving.pullSecrets" }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end -}}
