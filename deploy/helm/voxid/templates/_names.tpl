{{- define "voxid.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "voxid.selector" -}}
app.kubernetes.io/name: voxid
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "voxid.labels" -}}
{{ include "voxid.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* Pods of the nightly jobs carry a name of their own: no request is sent to them. */}}
{{- define "voxid.jobSelector" -}}
app.kubernetes.io/name: voxid-jobs
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "voxid.jobLabels" -}}
{{ include "voxid.jobSelector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "voxid.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}

{{/* What every pod is held to. */}}
{{- define "voxid.confined" -}}
serviceAccountName: {{ include "voxid.name" . }}
automountServiceAccountToken: false
# A Service called voxid would put VOXID_PORT=tcp://... into the environment, where the service looks for its port.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{/* What every container is held to. */}}
{{- define "voxid.powerless" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: ["ALL"]
{{- end -}}

{{- define "voxid.secrets" -}}
- name: VOXID_MASTER_KEY
  valueFrom:
    secretKeyRef:
      name: {{ .Values.secret }}
      key: master-key
{{- if .Values.postgres.enabled }}
- name: VOXID_DATABASE
  valueFrom:
    secretKeyRef:
      name: {{ .Values.secret }}
      key: database
{{- end }}
{{- end -}}

{{/* The only ways out: none with files, else the database and the names it is found by. */}}
{{- define "voxid.egress" -}}
{{- if .Values.postgres.enabled -}}
- to: {{- toYaml .Values.postgres.peers | nindent 4 }}
  ports:
    - port: {{ .Values.postgres.port }}
      protocol: TCP
# To find the database by its name; nothing else.
- to:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: kube-system
      podSelector:
        matchLabels:
          k8s-app: kube-dns
  ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{- else -}}
[]
{{- end -}}
{{- end -}}
