{{/*
Dataset, training and gate in one process, which hands the new version's number on. It ends with 3 on a no of the gate:
that is a result, and another try would only train a version more. A pod that its node gave up does not count.
*/}}
{{- define "training.jobSpec" -}}
{{- $training := .root.Values.training -}}
backoffLimit: {{ int64 $training.backoffLimit }}
activeDeadlineSeconds: {{ int64 $training.activeDeadlineSeconds }}
podFailurePolicy:
  rules:
    - action: Ignore
      onPodConditions:
        - type: DisruptionTarget
          status: "True"
    - action: FailJob
      onExitCodes:
        containerName: training
        operator: In
        values: [3]
template:
  metadata:
    {{- include "training.podMetadata" . | nindent 4 }}
  spec:
    {{- include "training.pod" . | nindent 4 }}
    containers:
      - name: training
        args:
          {{- include "training.arguments" .root | nindent 10 }}
        {{- include "training.container" . | nindent 8 }}
        env:
          - name: PDX_HOME
            value: /pdx
          - name: PDX_GATE_SLOWDOWN
            value: {{ toJson $training.gateSlowdown | quote }}
          - name: COLUMNS
            value: "160" # for the gate's table in the log
          {{- include "training.trackingEnvironment" .root | nindent 10 }}
          {{- with $training.source.existingSecret }}
          - name: PDX_SOURCE # and no argument, which the node and /proc would show
            valueFrom:
              secretKeyRef:
                name: {{ . | quote }}
                key: {{ $training.source.key | quote }}
          {{- end }}
        volumeMounts:
          {{- include "training.mounts" (dict "shards" $training.source.shards) | trim | nindent 10 }}
    volumes:
      {{- include "training.folders" (dict "names" (list "scratch" "home") "size" $training.scratchSize) | trim | nindent 6 }}
      {{- if $training.source.shards }}
      {{- include "training.shardsVolume" .root | nindent 6 }}
      {{- end }}
{{- end -}}

{{/* The shards lie where `generator:` of a source looks for them, in the home: what is missing there is played. */}}
{{- define "training.mounts" }}
- name: scratch
  mountPath: /tmp
- name: home
  mountPath: /pdx
{{- if .shards }}
- name: shards
  mountPath: /pdx/shards
{{- end }}
{{- end -}}

{{- define "training.arguments" -}}
{{- $training := .Values.training -}}
- train
- --gate
{{- with include "training.source" . }}
- {{ printf "--source=%s" . | quote }}
{{- end }}
- {{ printf "--table=%s" $training.source.table | quote }}
- --bad={{ $training.source.bad }}
{{- range $training.algorithms }}
- --algorithm={{ . }}
{{- end }}
{{- with int64 $training.rows }}
- --rows={{ . }}
{{- end }}
{{- with int64 $training.trials }}
- --trials={{ . }}
{{- end }}
{{- with int64 $training.folds }}
- --folds={{ . }}
{{- end }}
{{- if $training.learningCurve }}
- --learning-curve
{{- end }}
- --seed={{ int64 $training.seed }}
{{- end -}}

{{/* What stands in an argument; the URI in a Secret does not. */}}
{{- define "training.source" -}}
{{- $source := .Values.training.source -}}
{{- $shards := .Values.shards -}}
{{- $given := list -}}
{{- if $source.uri }}{{ $given = append $given "training.source.uri" }}{{ end -}}
{{- if $source.existingSecret }}{{ $given = append $given "training.source.existingSecret" }}{{ end -}}
{{- if $source.shards }}{{ $given = append $given "training.source.shards" }}{{ end -}}
{{- if gt (len $given) 1 -}}
{{- fail (printf "A training has one source of duels, and %s are given." (join " and " $given)) -}}
{{- end -}}
{{- if regexMatch "://[^/]*:[^/]*@|(?i)[?&][^=&]*(password|passwd|pwd)=" $source.uri -}}
{{- fail "training.source.uri holds a password, which everybody could read: put the URI into a Secret and name it in training.source.existingSecret." -}}
{{- end -}}
{{- if $source.shards -}}
generator:seed={{ int64 $shards.seed }},shards={{ int64 $shards.count }},rows={{ int64 $shards.rows }}
{{- else -}}
{{ $source.uri }}
{{- end -}}
{{- end -}}
