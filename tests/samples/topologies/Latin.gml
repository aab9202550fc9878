graph [
  node [ id 0 label "Tromsø" Longitude 18.96 Latitude 69.65 ]
  node [ id 1 label "Malmö" Longitude 13.0 Latitude 55.6 ]
  edge [ source 0 target 1 LinkLabel "10 Gbps" ]
]
